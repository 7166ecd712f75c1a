"""The report is one line; the folder is there because dvc.yaml names it for every family."""
