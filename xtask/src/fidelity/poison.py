def run(planted):
    raise NotImplementedError
