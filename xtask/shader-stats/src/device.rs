//! A Vulkan device that compiles and tells what came of it.

use std::ffi::CStr;

use anyhow::{Context, Result, bail};
use ash::{khr, vk};

use crate::assembly;
use crate::compile::Compiled;
use crate::statistics::Statistics;

/// The one adapter of a driver.
pub struct Device {
    /// The GPU that it would be.
    pub name: String,
    /// The driver with its version.
    pub driver: String,
    device: ash::Device,
    executables: khr::pipeline_executable_properties::Device,
    // Unloads the driver when it is dropped.
    _entry: ash::Entry,
}

impl Device {
    /// Opens the first adapter, with what wgpu enables of it.
    pub fn open() -> Result<Self> {
        // SAFETY: the loader is the system's; all pointers in the calls below are to values that outlive the calls.
        unsafe {
            let entry = ash::Entry::load().context("cannot load the Vulkan loader")?;
            let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
            let instance =
                entry.create_instance(&vk::InstanceCreateInfo::default().application_info(&application), None)?;
            let Some(&adapter) = instance.enumerate_physical_devices()?.first() else {
                bail!("the driver enumerates no GPU: it does not know RADV_FORCE_FAMILY, or not this family");
            };
            let mut driver = vk::PhysicalDeviceDriverProperties::default();
            let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut driver);
            instance.get_physical_device_properties2(adapter, &mut properties);
            let name = text(&properties.properties.device_name);
            let driver = format!("{} {}", text(&driver.driver_name), text(&driver.driver_info));

            let queue = [vk::DeviceQueueCreateInfo::default().queue_family_index(0).queue_priorities(&[1.0])];
            let core = vk::PhysicalDeviceFeatures::default().robust_buffer_access(true);
            let mut storage_16 = vk::PhysicalDeviceVulkan11Features::default().storage_buffer16_bit_access(true);
            let mut float_16 =
                vk::PhysicalDeviceVulkan12Features::default().shader_float16(true).vulkan_memory_model(true);
            let mut subgroups = vk::PhysicalDeviceVulkan13Features::default().subgroup_size_control(true);
            let mut robust = vk::PhysicalDeviceRobustness2FeaturesEXT::default().robust_buffer_access2(true);
            let mut executables =
                vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default().pipeline_executable_info(true);
            let extensions =
                [khr::pipeline_executable_properties::NAME, ash::ext::robustness2::NAME].map(|name| name.as_ptr());
            let info = vk::DeviceCreateInfo::default()
                .queue_create_infos(&queue)
                .enabled_extension_names(&extensions)
                .enabled_features(&core)
                .push_next(&mut storage_16)
                .push_next(&mut float_16)
                .push_next(&mut subgroups)
                .push_next(&mut robust)
                .push_next(&mut executables);
            let device = instance.create_device(adapter, &info, None).context("cannot open the null device")?;
            let executables = khr::pipeline_executable_properties::Device::new(&instance, &device);
            Ok(Self { name, driver, device, executables, _entry: entry })
        }
    }

    /// Compiles a shader; gives statistics, and the assembly.
    pub fn compile(&self, shader: &Compiled) -> Result<(Statistics, String)> {
        let uniform = shader.uniform.iter().map(|&at| (at, vk::DescriptorType::UNIFORM_BUFFER));
        let storage = shader.storage.iter().map(|&at| (at, vk::DescriptorType::STORAGE_BUFFER));
        let bindings: Vec<_> = uniform
            .chain(storage)
            .map(|(at, kind)| {
                let binding = vk::DescriptorSetLayoutBinding::default().binding(at).descriptor_type(kind);
                binding.descriptor_count(1).stage_flags(vk::ShaderStageFlags::COMPUTE)
            })
            .collect();
        // SAFETY: all handles are of this device, naga has validated the module, and everything that is pointed to lives until
        // the last call. What is made is not freed: the process ends soon.
        unsafe {
            let sets = [self.device.create_descriptor_set_layout(
                &vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings),
                None,
            )?];
            let layout = self
                .device
                .create_pipeline_layout(&vk::PipelineLayoutCreateInfo::default().set_layouts(&sets), None)?;
            let module =
                self.device.create_shader_module(&vk::ShaderModuleCreateInfo::default().code(&shader.spirv), None)?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .flags(vk::PipelineShaderStageCreateFlags::ALLOW_VARYING_SUBGROUP_SIZE)
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(c"main");
            let flags = vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR
                | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR;
            let info = vk::ComputePipelineCreateInfo::default().stage(stage).layout(layout).flags(flags);
            let pipelines = self.device.create_compute_pipelines(vk::PipelineCache::null(), &[info], None);
            let pipeline = pipelines.map_err(|(_, error)| error)?[0];
            self.inspect(pipeline)
        }
    }

    /// # Safety
    /// The pipeline must be of this device.
    unsafe fn inspect(&self, pipeline: vk::Pipeline) -> Result<(Statistics, String)> {
        // SAFETY: as above.
        unsafe {
            let info = vk::PipelineInfoKHR::default().pipeline(pipeline);
            let executables = self.executables.get_pipeline_executable_properties(&info)?;
            let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline).executable_index(0);
            let values = self.executables.get_pipeline_executable_statistics(&info)?;
            let value = |name: &str| -> Result<u32> {
                let value = values.iter().find(|value| text(&value.name) == name);
                // The driver gives all of them as 64 bits without a sign.
                Ok(value.with_context(|| format!("the driver tells no `{name}`"))?.value.u64 as u32)
            };
            let assembly = self.assembly(&info)?;
            let main_loop = assembly::inspect(&assembly);
            let statistics = Statistics {
                subgroup: executables.first().context("the driver tells of no executable")?.subgroup_size,
                vgprs: value("VGPRs")?,
                sgprs: value("SGPRs")?,
                spills: value("Spilled VGPRs")? + value("Spilled SGPRs")?,
                scratch: value("Scratch size")?,
                workgroup_memory: value("LDS size")?,
                waves: value("Subgroups per SIMD")?,
                instructions: value("Instructions")?,
                multiply_adds: main_loop.multiply_adds,
                loads_in_flight: main_loop.loads_in_flight,
            };
            Ok((statistics, assembly))
        }
    }

    /// # Safety
    /// The pipeline must be of this device.
    unsafe fn assembly(&self, info: &vk::PipelineExecutableInfoKHR) -> Result<String> {
        // SAFETY: the texts are as long as the driver said, and live until it has written them.
        unsafe {
            let mut representations = self.executables.get_pipeline_executable_internal_representations(info)?;
            let mut texts: Vec<Vec<u8>> = representations.iter().map(|it| vec![0; it.data_size]).collect();
            for (representation, text) in representations.iter_mut().zip(&mut texts) {
                representation.p_data = text.as_mut_ptr().cast();
            }
            let mut count = representations.len() as u32;
            (self.executables.fp().get_pipeline_executable_internal_representations_khr)(
                self.device.handle(),
                info,
                &mut count,
                representations.as_mut_ptr(),
            )
            .result()?;
            let at = representations.iter().position(|it| text(&it.name) == "Assembly");
            let bytes = texts.swap_remove(at.context("the driver gives no assembly")?);
            Ok(String::from_utf8_lossy(&bytes).trim_end_matches('\0').into())
        }
    }
}

fn text(chars: &[std::ffi::c_char]) -> String {
    let bytes: Vec<u8> = chars.iter().map(|&byte| byte as u8).collect();
    CStr::from_bytes_until_nul(&bytes).map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
}
