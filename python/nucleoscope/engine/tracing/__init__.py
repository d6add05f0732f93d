"""A module and an example -> a graph of rules and seams, kept until anything it depends on changes."""
