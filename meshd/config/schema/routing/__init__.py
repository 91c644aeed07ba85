"""The sections that say where requests go: providers, models, pools."""
