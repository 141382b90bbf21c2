"""A reworded question is answered from the cache; a different question never is."""
