//! The strict extra check of JSON files: YAML reads more than JSON allows.
