def text(rows):
    return str(len(rows))
