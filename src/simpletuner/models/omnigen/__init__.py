"""OmniGen (Xiao et al. 2024, arXiv 2409.11340): a Phi-3 body whose one sequence holds text, time and image tokens."""
