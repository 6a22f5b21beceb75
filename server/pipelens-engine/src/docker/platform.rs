//! Compares the platforms of images, in the forms that people and engines write: `linux/arm64`, `arm64`, `linux/arm/v7`.

/// Whether an image of one platform is what was asked for. An image whose platform is not known fits, and so does every one if none was asked for.
pub(super) fn fits(image: &str, wanted: &str) -> bool {
    if image.is_empty() || wanted.is_empty() {
        return true;
    }
    let (image, wanted) = (Platform::read(image), Platform::read(wanted));
    image.system == wanted.system
        && image.architecture == wanted.architecture
        // An image for `arm64` may have been stored with its only variant, `v8`, or without.
        && (image.variant == wanted.variant || image.variant.is_empty() || wanted.variant.is_empty())
}

#[derive(PartialEq, Eq)]
struct Platform {
    system: String,
    architecture: String,
    variant: String,
}

impl Platform {
    fn read(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        let parts: Vec<&str> = text.split('/').collect();
        let (system, architecture, variant) = match parts.as_slice() {
            [architecture] => ("linux", *architecture, ""),
            [system, architecture] => (*system, *architecture, ""),
            [system, architecture, variant, ..] => (*system, *architecture, *variant),
            [] => ("", "", ""),
        };
        // As the engine normalizes them.
        let (architecture, variant) = match (architecture, variant) {
            ("x86_64" | "x86-64", variant) => ("amd64", variant),
            ("aarch64", variant) => ("arm64", variant),
            ("i386" | "i686", variant) => ("386", variant),
            ("armhf", "") => ("arm", "v7"),
            ("armel", "") => ("arm", "v6"),
            other => other,
        };
        Self { system: system.to_owned(), architecture: architecture.to_owned(), variant: variant.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_platform_has_many_names() {
        for (image, wanted) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/amd64", "amd64"),
            ("linux/amd64", "Linux/x86_64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm64", "linux/aarch64"),
            ("linux/arm/v7", "armhf"),
            ("linux/arm", "linux/arm/v7"),
            ("", "linux/arm64"),
            ("linux/amd64", ""),
        ] {
            assert!(fits(image, wanted), "{image} {wanted}");
        }
        for (image, wanted) in [
            ("linux/amd64", "linux/arm64"),
            ("linux/arm/v6", "linux/arm/v7"),
            ("linux/amd64", "windows/amd64"),
            ("linux/arm64", "linux/arm"),
        ] {
            assert!(!fits(image, wanted), "{image} {wanted}");
        }
    }
}
