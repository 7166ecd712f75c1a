"""Where raw data comes from: files and folders of this machine, and S3."""
