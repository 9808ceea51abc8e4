"""Red teaming: find requests that make the subject do what it should not."""
