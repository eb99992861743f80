"""What is made of pictures and captions, kept in files named by their content."""
