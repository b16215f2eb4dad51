"""Small linear heads over the sentence embedding, one JSON file each; `router/head.py` reads them.

Each says in `made` how it was trained: the command, every data file with its SHA-256, licence and number of rows, the
embedder, the date, and its accuracy and calibration on rows it was not made from. What trains ours is in
`router/recipes/`. A head that was not yet evaluated on enough labelled cases says so in `experimental`.
"""
