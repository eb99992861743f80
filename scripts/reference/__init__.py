"""What the official OmniGen package computes with the weights of a very small model, written down for the tests."""
