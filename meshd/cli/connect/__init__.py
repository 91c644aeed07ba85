"""`meshctl connect`: other programs' settings for this mesh."""
