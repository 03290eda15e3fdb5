-- Frames that were guessed, those of functions that ended with a call, and those before which
-- functions are missing; the names of threads. NULL where an older server stored the frame.

ALTER TABLE store.frames ADD COLUMN tail_call BOOLEAN;
ALTER TABLE store.frames ADD COLUMN guessed BOOLEAN;
ALTER TABLE store.frames ADD COLUMN skips BOOLEAN;
ALTER TABLE store.frames ADD COLUMN thread VARCHAR;
