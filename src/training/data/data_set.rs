//! Decoded images with their classes.

/// Images and their classes, in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Examples {
    /// Every image `[channels, height, width]`, one behind the other, in 0…255.
    pub pixels: Vec<u8>,
    /// Every image's class.
    pub labels: Vec<usize>,
}

/// What a network learns from, and what it is tried on.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSet {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Channels, height and width of every image.
    pub shape: [usize; 3],
    /// What is learned from.
    pub train: Examples,
    /// What only shows how well that goes.
    pub validation: Examples,
    /// What was left out and why, in words.
    pub notes: Vec<String>,
}

impl DataSet {
    /// Values of an image.
    pub fn example_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Images to learn from, for validation, and classes.
    pub fn counts(&self) -> [usize; 3] {
        [self.train.labels.len(), self.validation.labels.len(), self.classes.len()]
    }

    /// A checksum (CRC-32) of everything that is learned from and tried on: classes, labels and pixels.
    pub fn checksum(&self) -> u32 {
        let mut crc = flate2::Crc::new();
        let mut numbers = |numbers: &[usize]| numbers.iter().for_each(|&it| crc.update(&(it as u64).to_le_bytes()));
        numbers(&self.counts());
        numbers(&self.shape);
        numbers(&self.train.labels);
        numbers(&self.validation.labels);
        for class in &self.classes {
            crc.update(class.as_bytes());
            crc.update(&[0]);
        }
        crc.update(&self.train.pixels);
        crc.update(&self.validation.pixels);
        crc.sum()
    }
}
