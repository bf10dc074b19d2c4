"""The page report/atlas.html: what a study found, in one file that needs no network."""
