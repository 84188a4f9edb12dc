"""Instructions whose obedience a program can tell (IFEval, arXiv 2311.07911): checkers and score.

The checkers are written from the paper's descriptions.
"""
