"""Which size, bucket and window a picture has."""
