"""What is known of every optimizer without torch."""
