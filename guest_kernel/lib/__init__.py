"""Linux's data structures in guest RAM: lists, trees, extensible arrays, bitmaps."""
