//! Submitting work to a device, waiting until it is done, and timing it.

use std::collections::VecDeque;
use std::time::Duration;

use futures_channel::oneshot;
use web_time::Instant;

use super::device::Device;
use crate::{Error, Result};

/// So many dispatches make a submission: the driver's share of a dispatch is then small, and a submission short.
const DISPATCHES_PER_SUBMISSION: usize = 256;

/// Submissions that may be on their way before the first of them is awaited: the device never runs dry, and its queue
/// stays short.
const SUBMISSIONS_IN_FLIGHT: usize = 4;

/// Work that was submitted.
#[derive(Debug)]
pub(in crate::gpu) struct Submitted {
    index: wgpu::SubmissionIndex,
    done: oneshot::Receiver<()>,
}

impl Device {
    /// Submits what is encoded, which fills `readback`, and takes what is needed out of that.
    pub(in crate::gpu) async fn submit_and_read<T>(
        &self,
        doing: &str,
        readback: &wgpu::Buffer,
        encode: impl FnOnce(&mut wgpu::CommandEncoder),
        take: impl FnOnce(&[u8]) -> T,
    ) -> Result<T> {
        let finished = self
            .checked(doing, || {
                self.queue.submit([self.encoded(encode)]);
                let (sender, receiver) = oneshot::channel();
                readback.map_async(wgpu::MapMode::Read, .., move |result| {
                    // The receiver is gone only if the run was given up.
                    let _ = sender.send(result);
                });
                receiver
            })
            .await?;
        self.poll(wgpu::PollType::wait_indefinitely())?;
        match finished.await {
            Ok(Ok(())) => {}
            _ => {
                self.check_alive()?;
                return Err(Error::Gpu { doing: "reading the results".into(), reason: "mapping failed".into() });
            }
        }
        let results = {
            let view = readback
                .get_mapped_range(..)
                .map_err(|error| Error::Gpu { doing: "reading the results".into(), reason: error.to_string() })?;
            take(&view)
        };
        readback.unmap();
        Ok(results)
    }

    /// Submits what is encoded, with all that was written before, and waits until the device has done it.
    pub(in crate::gpu) async fn submit_and_wait(
        &self,
        doing: &str,
        encode: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> Result<()> {
        let submitted = self.checked(doing, || self.submit(self.encoded(encode))).await?;
        self.finish(doing, submitted).await
    }

    /// Does something `repeats` times and gives the time that takes. `encode` is asked for some runs at a time, of
    /// `dispatches` each.
    ///
    /// GPUs are asked for their own clock, where it can be had natively; elsewhere it is the time until the device says that
    /// all is done.
    pub(in crate::gpu) async fn time(
        &self,
        doing: &str,
        dispatches: usize,
        repeats: usize,
        encode: impl Fn(&mut wgpu::CommandEncoder, usize),
    ) -> Result<Duration> {
        let timestamps = self.timestamps();
        let timestamps = timestamps.as_ref();
        let runs_per_submission = (DISPATCHES_PER_SUBMISSION / dispatches.max(1)).max(1);
        let encode = &encode;
        let mut in_flight = VecDeque::new();
        let mut verdicts = vec![];
        let start = Instant::now();
        for first in (0..repeats).step_by(runs_per_submission) {
            let runs = runs_per_submission.min(repeats - first);
            let encode = move |encoder: &mut wgpu::CommandEncoder| {
                timestamps.filter(|_| first == 0).inspect(|timestamps| timestamps.start(encoder));
                encode(encoder, runs);
                timestamps.filter(|_| first + runs == repeats).inspect(|timestamps| timestamps.stop(encoder));
            };
            let (submitted, verdict) = self.scoped(doing, move || self.submit(self.encoded(encode)));
            in_flight.push_back(submitted);
            verdicts.push(verdict);
            if in_flight.len() > SUBMISSIONS_IN_FLIGHT
                && let Some(oldest) = in_flight.pop_front()
            {
                self.finish(doing, oldest).await?;
            }
        }
        for submitted in in_flight {
            self.finish(doing, submitted).await?;
        }
        let mut elapsed = start.elapsed();
        if let Some(timestamps) = timestamps
            && let Some(measured) = timestamps.read(self).await?
        {
            elapsed = measured;
        }
        // In a browser a verdict is a question to another process, which is no part of the work.
        for verdict in verdicts {
            verdict.await?;
        }
        Ok(elapsed)
    }

    fn encoded(&self, encode: impl FnOnce(&mut wgpu::CommandEncoder)) -> wgpu::CommandBuffer {
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encode(&mut encoder);
        encoder.finish()
    }

    fn submit(&self, commands: wgpu::CommandBuffer) -> Submitted {
        let index = self.queue.submit([commands]);
        let (sender, done) = oneshot::channel();
        self.queue.on_submitted_work_done(move || {
            // The receiver is gone only if the work was given up.
            let _ = sender.send(());
        });
        Submitted { index, done }
    }

    /// Submits what is encoded, with all that was written before, and does not wait. `is_submitted` is true from the moment when
    /// that was done, unless the device refuses it.
    #[cfg(training)]
    pub(in crate::gpu) async fn submit_only(
        &self,
        doing: &str,
        encode: impl FnOnce(&mut wgpu::CommandEncoder),
        is_submitted: &mut bool,
    ) -> Result<Submitted> {
        let submit = || {
            let submitted = self.submit(self.encoded(encode));
            *is_submitted = true;
            submitted
        };
        let submitted = self.checked(doing, submit).await;
        *is_submitted = submitted.is_ok();
        submitted
    }

    pub(in crate::gpu) async fn finish(&self, doing: &str, Submitted { index, done }: Submitted) -> Result<()> {
        self.poll(wgpu::PollType::Wait { submission_index: Some(index), timeout: None })?;
        if done.await.is_err() {
            // It is never called where the device was lost in between.
            self.check_alive()?;
            return Err(Error::Gpu { doing: doing.into(), reason: "the device was lost".into() });
        }
        Ok(())
    }

    /// Drives the device where nobody else does; browsers do it themselves.
    fn poll(&self, how: wgpu::PollType) -> Result<()> {
        match self.device.poll(how) {
            Ok(_) => Ok(()),
            Err(error) => {
                self.check_alive()?;
                Err(Error::Gpu { doing: "waiting for the device".into(), reason: error.to_string() })
            }
        }
    }
}
