"""The napari plugin of pssr: widgets and glue, nothing else."""
