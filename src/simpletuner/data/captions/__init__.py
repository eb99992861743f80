"""The words a picture may be trained with."""
