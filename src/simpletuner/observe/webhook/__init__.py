"""What a run tells over http."""
