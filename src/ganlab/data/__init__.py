"""p_data: sources of x, and the DataModule that streams minibatches from one."""
