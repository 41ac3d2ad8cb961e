"""Input files to output files, and one picture in memory."""
