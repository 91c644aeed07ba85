"""Services that keep secrets, as their documentation describes them (2026-11-28)."""
