//! Images that look a little different every time.

use oorandom::Rand64;
use serde::{Deserialize, Serialize};

/// How images are varied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Augment {
    /// Moved by up to an eighth of their size along both axes, black where nothing is; half of those in colour are mirrored.
    #[default]
    Standard,
    /// They are not.
    None,
}

/// How one image is varied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Variation {
    /// Rows and columns that it is moved down and right.
    shift: [isize; 2],
    mirrored: bool,
}

impl Augment {
    pub(super) fn draw(self, [channels, height, width]: [usize; 3], random: &mut Rand64) -> Variation {
        if self == Augment::None {
            return Variation::default();
        }
        let mut shift = |extent: usize| {
            let most = (extent / 8) as u64;
            random.rand_range(0..2 * most + 1) as isize - most as isize
        };
        let shift = [shift(height), shift(width)];
        // A mirrored digit is none.
        Variation { shift, mirrored: channels == 3 && random.rand_u64() & 1 == 1 }
    }
}

impl Variation {
    /// Writes `(value − mean) / std` of every value where it ends up.
    pub(super) fn write(
        self,
        pixels: &[u8],
        [channels, height, width]: [usize; 3],
        normalise: impl Fn(usize, u8) -> f32,
        output: &mut [f32],
    ) {
        let area = height * width;
        for channel in 0..channels {
            let levels: [f32; 256] = std::array::from_fn(|level| normalise(channel, level as u8));
            let pixels = &pixels[channel * area..][..area];
            for (y, row) in output[channel * area..][..area].chunks_exact_mut(width).enumerate() {
                let from = y as isize - self.shift[0];
                if from < 0 || from >= height as isize {
                    row.fill(levels[0]);
                    continue;
                }
                let pixels = &pixels[from as usize * width..][..width];
                for (x, value) in row.iter_mut().enumerate() {
                    let from = x as isize - self.shift[1];
                    let at = if self.mirrored { width as isize - 1 - from } else { from };
                    *value = usize::try_from(at)
                        .ok()
                        .and_then(|at| pixels.get(at))
                        .map_or(levels[0], |&v| levels[usize::from(v)]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(variation: Variation) -> Vec<f32> {
        let mut output = [f32::NAN; 6];
        variation.write(&[1, 2, 3, 4, 5, 6], [1, 2, 3], |_, level| f32::from(level), &mut output);
        output.to_vec()
    }

    #[test]
    fn images_are_moved_and_mirrored() {
        assert_eq!(written(Variation::default()), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(written(Variation { shift: [1, 0], mirrored: false }), [0.0, 0.0, 0.0, 1.0, 2.0, 3.0]);
        assert_eq!(written(Variation { shift: [0, -1], mirrored: false }), [2.0, 3.0, 0.0, 5.0, 6.0, 0.0]);
        assert_eq!(written(Variation { shift: [0, 1], mirrored: true }), [0.0, 3.0, 2.0, 0.0, 6.0, 5.0]);
    }

    #[test]
    fn every_shift_is_drawn_and_grey_is_not_mirrored() {
        let mut random = Rand64::new(1);
        let drawn: Vec<Variation> = (0..2000).map(|_| Augment::Standard.draw([3, 32, 8], &mut random)).collect();
        for axis in [0, 1] {
            let mut shifts: Vec<isize> = drawn.iter().map(|variation| variation.shift[axis]).collect();
            shifts.sort_unstable();
            shifts.dedup();
            assert_eq!(shifts, [-4isize..=4, -1..=1][axis].clone().collect::<Vec<_>>());
        }
        let mirrored = drawn.iter().filter(|variation| variation.mirrored).count();
        assert!((900..1100).contains(&mirrored), "{mirrored}");
        assert!((0..100).all(|_| !Augment::Standard.draw([1, 8, 8], &mut random).mirrored));
        assert_eq!(Augment::None.draw([3, 8, 8], &mut random), Variation::default());
    }
}
