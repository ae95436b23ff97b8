"""All that touches BPF: compile, load, fill, attach, pin, count."""
