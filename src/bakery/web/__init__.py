"""The page of `bgit ui`: a repository to look at, to talk to and to run, beside the API."""
