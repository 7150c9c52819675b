from a file
