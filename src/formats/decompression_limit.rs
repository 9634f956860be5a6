//! The limit on how much a compressed file may unpack to.

/// Nobody's checkpoint is compressed to less than this part of its size.
const MAX_RATIO: u64 = 64;
/// What a small file may unpack to whatever its size: the residual D of an untrained layer is zeros.
const ALWAYS_ALLOWED: u64 = 256 << 20;

/// The bytes a file may still unpack to.
pub(super) struct DecompressionLimit {
    left: u64,
    file: usize,
}

impl DecompressionLimit {
    /// For a file of so many bytes.
    pub fn new(file: usize) -> Self {
        Self { left: (file as u64).saturating_mul(MAX_RATIO).max(ALWAYS_ALLOWED), file }
    }

    /// Takes the bytes that something called `what` needs.
    pub fn take(&mut self, what: &str, bytes: u64) -> Result<(), String> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| {
            format!("{what} would unpack to {bytes} bytes, which is too much for a file of {} bytes", self.file)
        })?;
        Ok(())
    }
}
