"""Published numbers, measured again: claims, what they are judged by, and what has come out."""
