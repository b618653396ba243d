"""The public functions, one journey a file; they compose the other packages."""
