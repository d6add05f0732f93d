"""Insertions and deletions: what an edit moves is looked up, what it opens is made anew."""
