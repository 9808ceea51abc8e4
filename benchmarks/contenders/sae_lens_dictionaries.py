"""SAELens: its TopK SAE and trainer. Arguments: activations, steps, default or best (autocast, oneDNN)."""

from dictionary_steps import BATCH, LATENTS, RATE, SETTING, STEPS, K, batches, held, oneDNN, report, timed
from sae_lens.config import SAETrainerConfig
from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.training.sae_trainer import SAETrainer

best = SETTING == "best"
if best:
    oneDNN()
sae = TopKTrainingSAE(TopKTrainingSAEConfig(d_in=held.shape[1], d_sae=LATENTS, k=K))
config = SAETrainerConfig(
    total_training_samples=BATCH * STEPS, train_batch_size_samples=BATCH, lr=RATE, lr_end=RATE, autocast=best
)
trainer = SAETrainer(config, sae, batches())


def step(x):
    trainer.step(x)
    trainer.n_training_steps += 1


report(timed(step), sae)
