"""`meshctl report`: a month on one page."""
