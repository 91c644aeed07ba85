"""Between the Gemini API and neutral records, both ways."""
