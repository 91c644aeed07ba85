"""Between neutral records and requests, answers and events of the Converse API."""
