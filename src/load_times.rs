//! How long it takes until a model can run.

use std::time::Duration;

use web_time::Instant;

use crate::Result;

/// What making a model ready has taken so far; see [`crate::Session::load_times`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadTimes {
    /// Packing and uploading the weights.
    pub upload: Duration,
    /// Compiling shaders and making buffers; nothing on the CPU path.
    pub compile: Duration,
    /// Comparing kernels with the CPU path; nothing on the CPU path, and where they were checked before.
    pub check: Duration,
    /// Composing kernels from W and D: on a GPU the time of the shader, on the CPU path packing included.
    pub fold: Duration,
}

/// What a future gives, and how long it took.
pub(crate) async fn timed<T>(future: impl Future<Output = Result<T>>) -> Result<(T, Duration)> {
    let start = Instant::now();
    let result = future.await?;
    Ok((result, start.elapsed()))
}
