"""Other people's networks: definitions and weights read without running their code, and what they become here."""
