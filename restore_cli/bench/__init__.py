"""What models and methods are worth, measured on sets of images."""
