"""The mathematics of flow matching, as functions. sigma is the share of noise: 0 is the image, 1 is noise."""
