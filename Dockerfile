# The node in a container.
# On a Jetson, BASE is NVIDIA's PyTorch image for its JetPack (its tag ends in -igpu), whose torch is used:
#   docker build --build-arg BASE=IMAGE -t sparse_seg_ros .
#   docker run --runtime nvidia --network host --ipc host sparse_seg_ros model:=demo image:=/camera/image_raw
# Without BASE it is the same for a CPU, with torch from PyPI.
ARG BASE=ubuntu:22.04
FROM ${BASE}
ARG ROS_DISTRO=humble
ENV DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8 ROS_DISTRO=${ROS_DISTRO}
SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# Triton compiles its kernels with gcc when they first run.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl gcc python3-dev python3-pip \
    && curl -fsSL https://raw.githubusercontent.com/ros/rosdistro/master/ros.key \
        -o /usr/share/keyrings/ros-archive-keyring.gpg \
    && echo "deb [arch=$(dpkg --print-architecture) signed-by=/usr/share/keyrings/ros-archive-keyring.gpg] \
http://packages.ros.org/ros2/ubuntu $(sed -n 's/^UBUNTU_CODENAME=//p' /etc/os-release) main" \
        > /etc/apt/sources.list.d/ros2.list \
    && apt-get update \
    && apt-get install -y --no-install-recommends "ros-${ROS_DISTRO}-ros-base" "ros-${ROS_DISTRO}-cv-bridge" \
        "ros-${ROS_DISTRO}-vision-msgs" "ros-${ROS_DISTRO}-rosbag2-storage-mcap" \
        python3-colcon-common-extensions python3-opencv python3-yaml python3-tqdm python3-jinja2 \
    && rm -rf /var/lib/apt/lists/*

# numpy below 2 is what rclpy and cv_bridge of Humble were built with.
RUN python3 -c 'import torch' 2> /dev/null || python3 -m pip install --no-cache-dir 'torch>=2.6'
# hadolint ignore=DL3013
RUN python3 -m pip install --no-cache-dir 'numpy<2' safetensors 'rosbags>=0.11' lz4 backports.zstd onnx onnxscript \
    onnxruntime \
    && { python3 -c 'import triton' 2> /dev/null || python3 -m pip install --no-cache-dir triton; }

RUN useradd --create-home ros && install -d -o ros -g ros /home/ros/ws
USER ros
WORKDIR /home/ros/ws
COPY --chown=ros . src/sparse_seg_ros
RUN source "/opt/ros/${ROS_DISTRO}/setup.bash" && colcon build --packages-select sparse_seg_ros
ENTRYPOINT ["/bin/bash", "-c", "source install/setup.bash && exec ros2 launch sparse_seg_ros seg.launch.py \"$@\"", "launch"]
