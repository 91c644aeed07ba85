"""The process `meshd`: signals, systemd, boot and shutdown."""
