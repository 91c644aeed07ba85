"""Operations that make images."""
