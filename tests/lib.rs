//! Tests of Vulkan as a whole, against a real Postgres. They are in `tests/it`.
