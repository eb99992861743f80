"""LoKr for what its mathematics costs: sizes, the order of products, the branch as one function. No library here."""
