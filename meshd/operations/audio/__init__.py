"""Operations about sound: speech from text, and text from speech."""
