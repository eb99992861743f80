"""What other programs call an option: a pointer where likeness of letters finds none, or a wrong one. All pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from simpletuner.config.problems import near

# The options of ours, then the words for them elsewhere.
_OPTIONS = {
    "train_batch_size": "batch_size bs train_batch per_device_train_batch_size per_gpu_batch_size",
    "gradient_accumulation_steps": "gradient_accumulation grad_accum grad_accumulation accumulation_steps",
    "gradient_checkpointing": "grad_checkpointing use_gradient_checkpointing activation_checkpointing",
    "learning_rate": "lr unet_lr base_lr peak_lr network_lr",
    "lr_warmup_steps": "warmup warmup_steps lr_warmup num_warmup_steps",
    "lr_scheduler": "scheduler lr_schedule lr_scheduler_type learning_rate_schedule",
    "num_train_epochs": "epoch epochs num_epochs max_epochs max_train_epochs",
    "max_train_steps": "steps step max_steps num_steps train_steps total_steps num_train_steps iterations",
    "lora_rank": "rank dim network_dim network_rank lora_dim lora_r",
    "lora_alpha": "alpha network_alpha",
    "lora_dropout": "network_dropout",
    "lycoris_config": "lycoris lokr network_args network_config",
    "init_lora": "network_weights lora_weights lora_path pretrained_lora",
    "model_type lora_type": "lora adapter adapter_type network network_module network_type training_type",
    "checkpoint_step_interval": "save_steps save_every save_every_n_steps save_interval save_step_interval "
    "checkpoint_steps checkpoint_every checkpoint_interval checkpointing_interval",
    "checkpoint_epoch_interval": "save_epochs save_every_n_epochs",
    "checkpoints_total_limit": "save_limit max_checkpoints keep_checkpoints max_step_saves_to_keep",
    "resume_from_checkpoint": "resume resume_from resume_path resume_checkpoint",
    "use_ema": "ema enable_ema",
    "pretrained_model_name_or_path model_family": "model base_model model_name model_path model_id model_name_or_path "
    "pretrained_model pretrained_model_path",
    "pretrained_vae_model_name_or_path": "vae vae_path vae_model",
    "data_backend_config": "dataset datasets dataset_config dataset_path dataloader dataloader_config data_config "
    "data data_dir dataset_dir image_dir images train_data train_data_dir multidatabackend multidatabackend_config",
    "resolution": "size image_size train_resolution",
    "caption_dropout_probability": "caption_dropout caption_dropout_rate",
    "eval_steps_interval": "eval_steps eval_every eval_interval eval_step_interval",
    "eval_epoch_interval": "eval_epochs eval_every_n_epochs",
    "user_prompt_library": "sample_prompts validation_prompts prompts prompt_file prompt_library",
    "validation_prompt": "prompt sample_prompt",
    "validation_negative_prompt": "negative_prompt",
    "validation_step_interval": "sample_every sample_steps sample_interval sample_every_n_steps validation_interval "
    "validation_every",
    "validation_guidance": "cfg cfg_scale guidance guidance_scale",
    "validation_num_inference_steps": "inference_steps num_inference_steps sampling_steps validation_inference_steps",
    "max_grad_norm": "grad_clip grad_norm gradient_clip gradient_clipping clip_grad clip_grad_norm",
    "mixed_precision base_model_precision": "precision dtype train_dtype weight_dtype torch_dtype",
    "base_model_precision": "quantize quantise quantization quantisation fp8_base load_in_8bit load_in_4bit",
    "optimizer": "optim optimiser optimizer_type",
    "optimizer_config": "optimizer_args optimizer_params optimizer_kwargs",
    "adam_weight_decay": "weight_decay wd",
    "output_dir": "output out out_dir save_dir output_path output_folder save_path",
    "logging_dir": "log_dir",
    "report_to": "wandb tensorboard log_with logger tracker use_wandb",
    "tracker_run_name": "name run_name output_name wandb_run_name job_name",
    "tracker_project_name": "project project_name wandb_project tracker_project",
    "hub_model_id": "repo_id hub_repo hub_id hub_repo_id",
    "push_to_hub": "push hub upload_to_hub",
    "num_processes": "gpus num_gpus n_gpus ngpus nproc_per_node devices num_devices",
    "max_workers": "workers num_workers dataloader_num_workers",
    "musubi_blocks_to_swap": "blocks_to_swap block_swap",
    "dynamo_backend": "compile torch_compile use_compile",
    "attention_mechanism": "attention attn attn_mode sdpa xformers flash_attention",
    "loss_type": "loss",
    "seed": "random_seed",
}
_OF_DATA_SET = {
    "instance_data_dir": "path folder dir data_dir image_dir image_folder images folder_path train_data_dir "
    "instance_data_root dataset_path data_root",
    "id": "name dataset_id",
    "repeats": "repeat num_repeats",
    "caption_strategy": "caption captions caption_type caption_method",
    "instance_prompt": "prompt trigger trigger_word",
    "resolution": "size image_size",
    "train_batch_size": "batch_size bs",
    "is_regularisation_data": "reg is_reg regularisation regularization is_regularisation is_regularization",
    "probability": "weight",
    "caption_shuffle": "shuffle_caption shuffle_captions",
    "crop crop_style": "center_crop random_crop",
    "conditioning_data": "mask masks mask_dir mask_path reference references control_path",
    "disabled": "enabled",
}
_BESIDE = {
    "lora_rank": " With a LyCORIS adapter it is linear_dim in the file that lycoris_config names",
    "lora_alpha": " With a LyCORIS adapter it is linear_alpha in the file that lycoris_config names",
    "data_backend_config": " It names the file in which each data set has its instance_data_dir",
    "disabled": " It is the opposite",
}


def _turned(table: Mapping[str, str]) -> dict[str, str]:
    return {word: ours for ours, words in table.items() for word in words.split()}


ELSEWHERE = _turned(_OPTIONS)
"""The options that a word of another program stands for, between spaces."""
ELSEWHERE_IN_DATA = _turned(_OF_DATA_SET)
"""The same for the keys of a data set."""


def meant(word: str, known: Iterable[str], elsewhere: Mapping[str, str]) -> str:
    """``did you mean 'x'?``: what other programs call so, else what is close to ``word``; empty where nothing is."""
    ours = elsewhere.get(word.lower())
    if ours is None:
        return near(word, known)
    names = " or ".join(f"'{name}'" for name in ours.split())
    return f"did you mean {names}?{_BESIDE.get(ours, '')}"
