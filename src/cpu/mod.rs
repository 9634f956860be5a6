//! Stub.
/// Stub.
pub fn threads() -> usize {
    2
}
