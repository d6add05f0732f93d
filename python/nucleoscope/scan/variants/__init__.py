"""The alleles of a VCF: read, asked about in windows of their own, told as scores and as a VCF again."""
